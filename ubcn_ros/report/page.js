'use strict';
const $ = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const data = JSON.parse($('#data').textContent);
const views = Object.fromEntries(data.views.map(view => [view.key, view]));
const viewer = $('#viewer'), handle = $('.handle'), rows = $('#frames tbody');
const state = {frame: 0, step: 0, zoom: 1, x: 0, y: 0, split: 50, alone: null};
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// every layer and the tag that names it
const tags = all('.sheet').map(sheet => [sheet, $(
  sheet.dataset.side === 'right' ? '.tag.right' : '.tag', sheet.closest('.screen'))]);

// ---- what is shown
function picture(frame, key) {
  const step = frame.steps[state.step - 1];
  return step && step[key] || (state.zoom > 1 && frame.files[key]) || frame.pictures[key];
}

function viewOf(sheet) { return views[sheet.dataset.view || $('#' + sheet.dataset.side).value]; }

async function paint(sheet) {
  const frame = data.frames[state.frame], image = $('img', sheet), canvas = $('canvas', sheet);
  const view = viewOf(sheet);
  const source = view.kind === 'image' ? picture(frame, view.key)
    : frame.steps[state.step - 1]?.[view.key] || frame.pictures[view.key];
  const shown = view.kind === 'image' ? view.key : view.under, below = picture(frame, shown);
  sheet.classList.toggle('missing', !source);
  image.hidden = !below || !source;
  if (below && image.src !== below) image.src = below;
  image.alt = view.title + ', ' + frame.title;
  image.onload = () => place(state.zoom, state.x, state.y);
  image.onerror = () => {  // a file that is not there
    image.onerror = null;
    image.src = frame.pictures[shown];
  };
  canvas.hidden = view.kind === 'image' || !source;
  sheet.view = view;
  if (canvas.hidden) { sheet.values = sheet.source = null; return; }
  if (sheet.source !== source) {
    sheet.source = source;
    const loaded = new Image();
    loaded.src = source;
    await loaded.decode();
    if (sheet.source !== source) return;  // another frame was asked for meanwhile
    [canvas.width, canvas.height] = [loaded.naturalWidth, loaded.naturalHeight];
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.drawImage(loaded, 0, 0);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    sheet.values = Uint8Array.from({length: pixels.length / 4}, (_, i) => pixels[4 * i]);
  }
  if (sheet.values) color(sheet);
}

function color(sheet) {
  const canvas = $('canvas', sheet), context = canvas.getContext('2d');
  const table = new Uint32Array(256), bytes = new Uint8Array(table.buffer);
  for (let id = 0; id < 256; id++) {
    const known = data.classes[id];
    if (sheet.view.kind === 'confidence') bytes.set([255, 90, 31, 255 - id], 4 * id);
    else if (known && (state.alone === null || state.alone === id))
      bytes.set([...known.color, 255], 4 * id);
  }
  const pixels = context.createImageData(canvas.width, canvas.height);
  const words = new Uint32Array(pixels.data.buffer);
  for (let i = 0; i < words.length; i++) words[i] = table[sheet.values[i]];
  context.putImageData(pixels, 0, 0);
}

function show(number, scroll) {
  state.frame = clamp(number, 0, data.frames.length - 1);
  const frame = data.frames[state.frame];
  viewer.style.setProperty('--ratio', frame.size.join(' / '));
  viewer.style.setProperty('--aspect', frame.size[0] / frame.size[1]);
  $('#where').textContent = `${frame.title}  (${state.frame + 1} of ${data.frames.length})`;
  $('#from').textContent =
    `${data.columns[0]}: ${frame.topic}. ${data.columns[1]}: ${frame.stamp}.`;
  if (frame.command) $('#again code').textContent = frame.command;
  const steps = $('#steps');
  if (steps) {
    steps.disabled = !frame.steps.length;
    steps.title = frame.steps.length ? '' : 'The steps of this frame were not computed.';
  }
  for (const row of rows.rows) row.classList.toggle('shown', +row.dataset.frame === state.frame);
  const shown = $('.shown', rows);
  for (const trace of all('.trace')) {
    trace.style.setProperty('--at', 100 * frame.seconds / trace.dataset.seconds + '%');
    $('output', trace).textContent = trace.dataset.columns.split(' ')
      .map(column => shown.cells[column].textContent).join(' | ');
  }
  if (scroll) viewer.scrollIntoView({block: 'nearest'});
  repaint();
}

function repaint() {
  const frame = data.frames[state.frame];
  for (const [sheet, tag] of tags) {
    const view = viewOf(sheet), stepped = frame.steps[state.step - 1]?.[view.key];
    tag.textContent = view.title + (stepped ? `, T = ${state.step}` : '');
  }
  for (const sheet of all('.sheet[data-view]'))  // a pane without a picture makes room
    sheet.closest('.pane').hidden = !picture(frame, sheet.dataset.view);
  $('.panes').dataset.n = all('.pane:not(.wide):not([hidden])').length;
  all('.sheet').forEach(paint);
}

// ---- one zoom and pan for all panes; x and y in widths and heights of a pane
function place(zoom, x, y) {
  const before = state.zoom;
  state.zoom = clamp(zoom, 1, 40);
  state.x = clamp(x, 1 - state.zoom, 0);
  state.y = clamp(y, 1 - state.zoom, 0);
  for (const [name, value] of [['--z', state.zoom], ['--x', state.x], ['--y', state.y]])
    viewer.style.setProperty(name, value);
  viewer.classList.toggle('zoomed', state.zoom > 1);
  $('#zoom').textContent = +state.zoom.toFixed(1) + '×';
  for (const sheet of all('.sheet')) {
    const width = $('img', sheet).naturalWidth || $('canvas', sheet).width;
    sheet.classList.toggle('pixelated',
      sheet.clientWidth * state.zoom > 2 * (width || Infinity));
  }
  if (before > 1 !== state.zoom > 1) repaint();  // full size, where there is one
}

function zoomAt(factor, u = 0.5, v = 0.5) {
  const zoom = clamp(state.zoom * factor, 1, 40), change = zoom / state.zoom;
  place(zoom, u - (u - state.x) * change, v - (v - state.y) * change);
}

function setSplit(percent) {
  state.split = clamp(percent, 0, 100);
  viewer.style.setProperty('--split', state.split + '%');
  handle.setAttribute('aria-valuenow', Math.round(state.split));
}

const pointers = new Map();
function at(event, screen) {
  const box = screen.getBoundingClientRect();
  return {u: (event.clientX - box.left) / box.width, v: (event.clientY - box.top) / box.height};
}

for (const screen of all('.screen')) {
  let splitting = false;
  screen.addEventListener('pointerdown', event => {
    if (event.button) return;  // the others are the browser's
    pointers.set(event.pointerId, at(event, screen));
    splitting = Boolean(event.target.closest('.handle'))
      || (screen.id === 'compare' && state.zoom === 1);
    screen.setPointerCapture(event.pointerId);
    if (splitting && !event.target.closest('.handle') && event.pointerType === 'mouse')
      setSplit(100 * at(event, screen).u);
    read(event, screen);
  });
  screen.addEventListener('pointermove', event => {
    const before = pointers.get(event.pointerId), now = at(event, screen);
    if (!before) { read(event, screen); return; }
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, now);
    if (other) {
      const apart = point => Math.hypot(point.u - other.u, point.v - other.v) || 1e-6;
      zoomAt(apart(now) / apart(before), (now.u + other.u) / 2, (now.v + other.v) / 2);
    } else if (splitting) setSplit(state.split + 100 * (now.u - before.u));
    else place(state.zoom, state.x + now.u - before.u, state.y + now.v - before.v);
  });
  for (const name of ['pointerup', 'pointercancel'])
    screen.addEventListener(name, event => pointers.delete(event.pointerId));
  screen.addEventListener('pointerleave', () => point(null));
  screen.addEventListener('dblclick', event => {
    const {u, v} = at(event, screen);
    zoomAt(event.shiftKey ? 0.5 : 2, u, v);
  });
  screen.addEventListener('wheel', event => {
    if (!event.ctrlKey && !event.metaKey) return;  // the page scrolls
    event.preventDefault();
    const {u, v} = at(event, screen);
    zoomAt(Math.exp(-event.deltaY / 300), u, v);
  }, {passive: false});
  screen.addEventListener('keydown', event => {
    const step = {ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
    if (event.target !== screen || !step[event.key] || state.zoom === 1) return;
    event.preventDefault();
    const [x, y] = step[event.key];
    place(state.zoom, state.x + 0.1 * x, state.y + 0.1 * y);
  });
}

handle.addEventListener('keydown', event => {
  const by = event.shiftKey ? 10 : 2;
  const to = {ArrowLeft: state.split - by, ArrowRight: state.split + by, Home: 0, End: 100,
              ArrowDown: state.split - by, ArrowUp: state.split + by}[event.key];
  if (to === undefined) return;
  event.preventDefault();
  setSplit(to);
});

// ---- what is under the pointer
function point(place) {
  viewer.classList.toggle('pointing', Boolean(place));
  if (place) {
    viewer.style.setProperty('--u', place.u);
    viewer.style.setProperty('--v', place.v);
  } else $('#tip').hidden = true;
}

function read(event, screen) {
  const {u, v} = at(event, screen);
  const place = {u: (u - state.x) / state.zoom, v: (v - state.y) / state.zoom};
  if (u < 0 || v < 0 || u > 1 || v > 1) { point(null); return; }
  point(place);
  const found = new Map(), classes = new Set();
  for (const sheet of all('.sheet')) {
    if (!sheet.values || found.has(sheet.view.key)) continue;
    const canvas = $('canvas', sheet);
    const column = clamp(Math.floor(place.u * canvas.width), 0, canvas.width - 1);
    const line = clamp(Math.floor(place.v * canvas.height), 0, canvas.height - 1);
    const value = sheet.values[line * canvas.width + column];
    if (sheet.view.kind === 'labels') classes.add(value);
    found.set(sheet.view.key, [sheet.view, sheet.view.kind === 'labels'
      ? data.classes[value]?.name || 'unlabeled' : Math.round(value / 2.55) + ' %']);
  }
  const [width, height] = data.frames[state.frame].size;
  $('#readout').textContent = [
    `x ${Math.min(width - 1, Math.floor(place.u * width))}, ` +
    `y ${Math.min(height - 1, Math.floor(place.v * height))}`,
    ...[...found.values()].map(([view, text]) => `${view.title}: ${text}`)].join('  ·  ');
  for (const button of all('.legend button'))
    button.classList.toggle('here', classes.has(+button.dataset.class));
  const names = [...found.values()].map(([, text]) => text), tip = $('#tip');
  tip.hidden = !names.length;
  tip.textContent = [...new Set(names)].join(' · ');
  tip.style.left = clamp(event.clientX + 14, 0, innerWidth - tip.offsetWidth - 4) + 'px';
  tip.style.top = event.clientY + 16 + 'px';
}

// ---- the table
for (const button of all('#frames thead button'))
  button.addEventListener('click', () => {
    const head = button.closest('th'), column = head.cellIndex;
    const opposite = {ascending: 'descending', descending: 'ascending'};
    const way = opposite[head.getAttribute('aria-sort')] || button.dataset.first || 'ascending';
    all('#frames thead th').forEach(other => other.setAttribute('aria-sort', 'none'));
    head.setAttribute('aria-sort', way);
    const value = row => row.cells[column].dataset.value, sign = way === 'ascending' ? 1 : -1;
    const compare = button.dataset.kind === 'text'
      ? (a, b) => sign * value(a).localeCompare(value(b), 'en', {numeric: true})
      : (a, b) => (value(a) === '') - (value(b) === '') || sign * (value(a) - value(b) || 0);
    rows.append(...[...rows.rows].sort(compare));
  });
rows.addEventListener('click', event => {
  const row = event.target.closest('tr');
  if (row && !event.target.closest('code')) show(+row.dataset.frame, true);
});

// ---- controls
for (const trace of all('.trace'))
  $('.plot', trace).addEventListener('click', event => {
    const seconds = at(event, event.currentTarget).u * trace.dataset.seconds;
    const topic = data.frames[state.frame].topic;
    const near = data.frames.map((frame, i) => [
      Math.abs(frame.seconds - seconds) + (frame.topic === topic ? 0 : 1e-3), i]);
    show(near.reduce((a, b) => a[0] <= b[0] ? a : b)[1]);
  });
for (const input of all('#steps input'))
  input.addEventListener('change', () => { state.step = +input.value; repaint(); });
state.step = +($('#steps input:checked')?.value ?? 0);
for (const button of all('.legend button'))
  button.addEventListener('click', () => {
    const id = +button.dataset.class;
    state.alone = state.alone === id ? null : id;
    for (const other of all('.legend button'))
      other.setAttribute('aria-pressed', String(+other.dataset.class === state.alone
        && state.alone !== null));
    all('.sheet').filter(sheet => sheet.values).forEach(color);
  });
const actions = {
  previous: () => show(state.frame - 1), next: () => show(state.frame + 1),
  in: () => zoomAt(1.5), out: () => zoomAt(1 / 1.5), reset: () => place(1, 0, 0)};
for (const [id, action] of Object.entries(actions)) $('#' + id).addEventListener('click', action);
for (const side of ['left', 'right']) $('#' + side).addEventListener('change', repaint);
$('#overlay')?.addEventListener('input', event =>
  viewer.style.setProperty('--overlay', event.target.value / 100));
const keys = {j: actions.next, k: actions.previous, '+': actions.in, '=': actions.in,
              '-': actions.out, 0: actions.reset};
addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, select'))
    return;
  keys[event.key.toLowerCase()]?.();
});
addEventListener('resize', () => place(state.zoom, state.x, state.y));

viewer.style.setProperty('--overlay', 0.6);
setSplit(50);
place(1, 0, 0);
show(+(rows.rows[0]?.dataset.frame ?? 0));

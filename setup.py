# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Python package of UBCN for ROS 2; colcon and pip both build from here."""

from pathlib import Path

from setuptools import find_packages, setup

NAME = 'ubcn_ros'
ROOT = Path(__file__).resolve().parent


def share(folder: str, *patterns: str) -> list[tuple[str, list[str]]]:
    """List what installs below ``share/ubcn_ros/folder``, one entry per directory."""
    by_parent: dict[str, list[str]] = {}
    for pattern in patterns:
        for path in sorted((ROOT / folder).rglob(pattern)):
            relative = path.relative_to(ROOT)
            by_parent.setdefault(relative.parent.as_posix(), []).append(relative.as_posix())
    return [(f'share/{NAME}/{parent}', files) for parent, files in by_parent.items()]


ROS_WHEELS = [
    'ros-rclpy[fastrtps]==7.1.6',
    'ros-jazzy-sensor-msgs==5.3.6',
    'ros-jazzy-std-msgs==5.3.6',
    'ros-jazzy-diagnostic-msgs==5.3.6',
    'ros-wheels-bootstrapper==0.1.2',
]

setup(
    name=NAME,
    version='0.1.0',
    description='Image deraining and semantic segmentation of a rainy camera stream for ROS 2',
    author='The ubcn_ros authors',
    maintainer='The ubcn_ros authors',
    maintainer_email='ubcn_ros@users.noreply.github.com',
    license='Apache-2.0',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['README.md', '*/README.md', 'data/check/*.html', 'report/*.html',
                         'report/*.css', 'report/*.js', 'study/report/*.html',
                         'study/report/*.css', 'study/report/*.typ']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        *share('launch', '*.launch.py'),
        *share('config', '*.yaml', '*.rviz', '*.foxglove.json', '*.json5', '*.xml'),
        *share('models', '*.safetensors', '*.md'),
    ],
    python_requires='>=3.10',
    install_requires=[
        'setuptools',
        'click>=8.0',
        'jinja2>=3',
        'mcap>=1.5',
        'numpy',
        'opencv-python-headless>=4.5,<5',
        'pyyaml',
        'rosbags>=0.11',
        'safetensors>=0.4',
        'torch>=2.5',
        'tqdm',
        'zstandard',
    ],
    extras_require={
        # For machines without a ROS 2 installation; never beside a sourced one.
        'ros': ROS_WHEELS,
        'train': [
            'lightning>=2.4',
            'matplotlib',
            'pillow>=9',
            'pycocotools>=2.0.8',
            'tensorboard',
            'torchmetrics>=1.4',
            'typst>=0.14',
        ],
        'export': ['onnx', 'onnxruntime'],
        'video': ['av>=17'],
        'ray': ['ray[client]>=2.40'],
        'rerun': ['rerun-sdk>=0.41'],
        'test': [
            'colcon-common-extensions==0.3.0',
            'setuptools<80',
            'cyclonedds>=11; python_version < "3.14"',
            'eclipse-zenoh>=1.6',
            'hypothesis',
            'playwright>=1.40',
            'import-linter>=2.1',
            'pytest>=7.4',
            'pytest-timeout',
            'pytest-xdist',
            'ruff',
        ],
    },
    zip_safe=True,
    entry_points={
        'console_scripts': [
            'ubcn_node = ubcn_ros.node.main:main',
            'ubcn = ubcn_ros.cli:main',
        ],
    },
)

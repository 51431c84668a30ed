"""What pyproject.toml cannot say: conf/ lies beside the package in the repository, and in it in a wheel."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["paper_lenet*"]), "paper_lenet.conf", "hydra_plugins.paper_lenet_sweeper"],
    package_dir={"paper_lenet.conf": "conf"},
)

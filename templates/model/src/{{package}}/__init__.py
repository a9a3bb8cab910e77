"""Stages and streams of this project; see dvc.yaml."""

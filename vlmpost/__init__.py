"""vlmpost: post-training of vision-language models from one command line."""

__version__ = "0.1.0"

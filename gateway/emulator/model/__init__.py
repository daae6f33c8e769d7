"""Lets a model answer in the place of the scripts: any server of the chat-completions API."""

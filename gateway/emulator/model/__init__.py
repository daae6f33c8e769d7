"""Answers by a model instead of a script. The model is any server of the chat-completions API."""

"""A checkpoint behind OpenAI's chat completions, with satellite images in the messages, and a page to talk on."""

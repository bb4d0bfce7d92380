"""Questions and answers as text: conversations, boxes, the facts they rest on, who writes and who verifies them."""

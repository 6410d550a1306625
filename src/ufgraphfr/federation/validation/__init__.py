"""What the server lets in: the form of every reply is known before it comes."""

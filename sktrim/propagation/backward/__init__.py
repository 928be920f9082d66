"""Rules of one backward pass: guided backpropagation, DeepLIFT, relevance."""

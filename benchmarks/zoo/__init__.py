"""Public networks with random weights, and what each method makes of them."""

"""How an Explanation keeps, checks, joins, writes and draws its arrays."""

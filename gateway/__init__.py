"""HTTP in, RPC out; decides nothing about scheduling."""

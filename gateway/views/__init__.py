"""One module for each kind of resource: request, RPC, response."""

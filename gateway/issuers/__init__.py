"""Other authorization servers, asked over HTTP."""

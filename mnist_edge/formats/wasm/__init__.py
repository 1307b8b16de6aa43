"""WebAssembly for browsers and Node: the C of a network and its preprocessing, with JavaScript around it."""

"""One HTML file that reads what is drawn, chosen or filmed: the WebAssembly of a network with a page around it."""

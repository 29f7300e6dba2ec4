"""The only road that a browser has to the network: a forward proxy of its own, and the rules that hold on it."""

"""What is done with pages without a client's own driver: fetch, render, click, over Playwright."""

"""Who a browser says it is: what flags can do, and what a CDP session of ours holds beside them."""

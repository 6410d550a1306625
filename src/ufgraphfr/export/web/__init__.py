"""A finished run as one page that recommends in the browser, without a network."""

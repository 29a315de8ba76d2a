def write_pages(a,b): return ()

-- Whether a node is there, and for how long one can tell.
return {alive(A.node) and 1 or 0, unbroken()}

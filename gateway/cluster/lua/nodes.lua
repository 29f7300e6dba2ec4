-- The names of all nodes, those that are silent among them, as one text: a thousand are no thousand replies.
return table.concat(call('ZRANGE', key('nodes'), 0, -1), '|')

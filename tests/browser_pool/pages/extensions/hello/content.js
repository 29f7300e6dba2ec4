chrome.runtime.sendMessage("hello", (reply) => { document.title = reply; });

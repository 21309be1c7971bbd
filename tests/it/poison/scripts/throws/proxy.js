// end: threw logic threw
throw new Proxy({}, {});

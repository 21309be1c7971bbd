// end: threw logic threw undefined
throw undefined;

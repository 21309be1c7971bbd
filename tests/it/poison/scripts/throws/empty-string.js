// end: threw logic threw an empty string
throw "";

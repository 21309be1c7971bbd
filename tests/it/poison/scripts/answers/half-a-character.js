// end: returned "\ufffd!"
return "\ud83d!";

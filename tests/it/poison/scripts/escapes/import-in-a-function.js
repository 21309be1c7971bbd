// end: threw 
return new Function("return import('node:fs')")();

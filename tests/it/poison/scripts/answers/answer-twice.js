// end: returned 1
return new Promise((resolve, reject) => { resolve(1); resolve(2); reject(new Error("3")); });

// end: killed heap
return new ArrayBuffer(2 ** 40).byteLength;

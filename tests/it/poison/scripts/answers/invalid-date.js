// end: returned null
return new Date(NaN);

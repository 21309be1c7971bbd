// end: threw the returned value is an invalid date
return new Date(NaN);

// end: killed cpu
return `${{ [Symbol.toPrimitive]() { for (;;) {} } }}`;

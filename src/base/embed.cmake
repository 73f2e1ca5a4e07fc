# cmake -DNAME=… -DIN=… -DOUT=… -P embed.cmake: writes IN as a C array, with a NUL behind it.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "((0x..,){20})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "#include <stddef.h>
extern const char ${NAME}_data[];
extern const size_t ${NAME}_size;
const char ${NAME}_data[] = {${bytes}0x00};
const size_t ${NAME}_size = sizeof ${NAME}_data - 1;
")

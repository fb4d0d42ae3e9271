#include <stdint.h>
typedef uint64_t XTime;
#define COUNTS_PER_SECOND 333333343u
void XTime_GetTime(XTime *now);

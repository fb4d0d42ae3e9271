#include "xil_io.h"
void Xil_DCacheFlushRange(INTPTR address, INTPTR length);
void Xil_DCacheInvalidateRange(INTPTR address, INTPTR length);

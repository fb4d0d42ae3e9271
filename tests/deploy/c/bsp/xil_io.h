#ifndef XIL_IO_H
#define XIL_IO_H
/* The part of AMD's standalone BSP that the driver uses, declared only. */
#include <stdint.h>
typedef uintptr_t UINTPTR;
typedef intptr_t INTPTR;
typedef uint32_t u32;
u32 Xil_In32(UINTPTR address);
void Xil_Out32(UINTPTR address, u32 value);
#endif

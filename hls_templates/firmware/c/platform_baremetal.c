/* Bare metal on Zynq and Zynq UltraScale+, with AMD's standalone BSP. FPGAFLOW_MAX_BATCH sizes the buffers. */
#include "fpgaflow.h"

#include "xil_cache.h"
#include "xil_io.h"
#include "xtime_l.h"

#ifndef FPGAFLOW_MAX_BATCH
#define FPGAFLOW_MAX_BATCH 64u
#endif
#define CACHE_LINE 64u
#define ROUNDED(bytes) (((bytes) + CACHE_LINE - 1u) / CACHE_LINE * CACHE_LINE)

static uint8_t input[ROUNDED(FPGAFLOW_MAX_BATCH * FPGAFLOW_INPUT_BYTES)] __attribute__((aligned(CACHE_LINE)));
static uint8_t output[ROUNDED(FPGAFLOW_MAX_BATCH * FPGAFLOW_OUTPUT_BYTES)] __attribute__((aligned(CACHE_LINE)));
static int taken;

fpgaflow_status fpgaflow_platform_open(fpgaflow_platform *platform, size_t input_bytes, size_t output_bytes) {
    if (taken)
        return FPGAFLOW_BUSY;
    if (input_bytes > sizeof input || output_bytes > sizeof output)
        return FPGAFLOW_NO_DEVICE; /* build with a larger FPGAFLOW_MAX_BATCH */
    taken = 1;
    platform->input = input;
    platform->output = output;
    platform->input_address = (uint64_t)(uintptr_t)input;
    platform->output_address = (uint64_t)(uintptr_t)output;
    return FPGAFLOW_OK;
}

void fpgaflow_platform_close(fpgaflow_platform *platform) {
    (void)platform;
    taken = 0;
}

uint32_t fpgaflow_platform_read(fpgaflow_platform *platform, uint32_t offset) {
    (void)platform;
    return Xil_In32((UINTPTR)FPGAFLOW_DMA_BASE + offset);
}

void fpgaflow_platform_write(fpgaflow_platform *platform, uint32_t offset, uint32_t value) {
    (void)platform;
    Xil_Out32((UINTPTR)FPGAFLOW_DMA_BASE + offset, value);
}

void fpgaflow_platform_flush(fpgaflow_platform *platform, size_t input_bytes) {
    Xil_DCacheFlushRange((INTPTR)platform->input, (INTPTR)input_bytes);
    /* No line of the answer may be written back over what the DMA writes. */
    Xil_DCacheInvalidateRange((INTPTR)platform->output, (INTPTR)sizeof output);
}

void fpgaflow_platform_invalidate(fpgaflow_platform *platform, size_t output_bytes) {
    (void)output_bytes;
    Xil_DCacheInvalidateRange((INTPTR)platform->output, (INTPTR)sizeof output);
}

uint64_t fpgaflow_platform_microseconds(void) {
    XTime now;
    XTime_GetTime(&now);
    return (uint64_t)now / (COUNTS_PER_SECOND / 1000000u);
}

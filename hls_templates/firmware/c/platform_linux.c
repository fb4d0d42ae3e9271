/* Linux on the board: the DMA's registers through /dev/mem, buffers of u-dma-buf (github.com/ikwzm/udmabuf), opened
 * uncached, so that nothing has to be flushed. Needs root. FPGAFLOW_DMA_BASE and FPGAFLOW_UDMABUF in the environment
 * override address and device. */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "fpgaflow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define REGISTERS 0x1000u
#define LOCK_FILE "/tmp/fpgaflow.lock"

static struct {
    volatile uint32_t *registers;
    uint8_t *memory;
    size_t size;
    int lock;
} device = {NULL, NULL, 0, -1};

static unsigned long long number_in(const char *path) {
    unsigned long long value = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%lli", (long long *)&value) != 1)
        value = 0;
    fclose(file);
    return value;
}

static void *mapped(const char *path, int flags, size_t size, off_t offset) {
    void *memory;
    const int file = open(path, O_RDWR | flags);
    if (file < 0)
        return NULL;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset);
    close(file);
    return memory == MAP_FAILED ? NULL : memory;
}

fpgaflow_status fpgaflow_platform_open(fpgaflow_platform *platform, size_t input_bytes, size_t output_bytes) {
    const char *base = getenv("FPGAFLOW_DMA_BASE"), *name = getenv("FPGAFLOW_UDMABUF");
    const unsigned long long address = base ? strtoull(base, NULL, 0) : FPGAFLOW_DMA_BASE;
    const size_t input_end = (input_bytes + 63u) & ~(size_t)63u;
    char path[128];
    unsigned long long physical;
    device.lock = open(LOCK_FILE, O_RDWR | O_CREAT, 0666);
    if (device.lock < 0)
        return FPGAFLOW_NO_DEVICE;
    if (flock(device.lock, LOCK_EX | LOCK_NB) != 0) { /* goes with this process, however it ends */
        const fpgaflow_status status = errno == EWOULDBLOCK ? FPGAFLOW_BUSY : FPGAFLOW_NO_DEVICE;
        close(device.lock);
        device.lock = -1;
        return status;
    }
    name = name ? name : "udmabuf0";
    snprintf(path, sizeof path, "/sys/class/u-dma-buf/%.64s/size", name);
    device.size = (size_t)number_in(path);
    snprintf(path, sizeof path, "/sys/class/u-dma-buf/%.64s/phys_addr", name);
    physical = number_in(path);
    snprintf(path, sizeof path, "/dev/%.64s", name);
    if (device.size >= input_end + output_bytes)
        device.memory = mapped(path, O_SYNC, device.size, 0);
    else
        errno = ENOMEM; /* load u-dma-buf with a larger udmabuf0=... */
    if (device.memory != NULL)
        device.registers = mapped("/dev/mem", O_SYNC, REGISTERS, (off_t)address);
    if (device.registers == NULL) {
        fpgaflow_platform_close(platform);
        return FPGAFLOW_NO_DEVICE;
    }
    platform->input = device.memory;
    platform->output = device.memory + input_end;
    platform->input_address = physical;
    platform->output_address = physical + input_end;
    return FPGAFLOW_OK;
}

void fpgaflow_platform_close(fpgaflow_platform *platform) {
    (void)platform;
    if (device.registers != NULL)
        munmap((void *)(uintptr_t)device.registers, REGISTERS);
    if (device.memory != NULL)
        munmap(device.memory, device.size);
    if (device.lock >= 0)
        close(device.lock);
    device.registers = NULL;
    device.memory = NULL;
    device.lock = -1;
}

uint32_t fpgaflow_platform_read(fpgaflow_platform *platform, uint32_t offset) {
    (void)platform;
    return device.registers[offset / 4u];
}

void fpgaflow_platform_write(fpgaflow_platform *platform, uint32_t offset, uint32_t value) {
    (void)platform;
    __sync_synchronize(); /* what lies in the buffers goes first */
    device.registers[offset / 4u] = value;
}

void fpgaflow_platform_flush(fpgaflow_platform *platform, size_t input_bytes) {
    (void)platform;
    (void)input_bytes;
}

void fpgaflow_platform_invalidate(fpgaflow_platform *platform, size_t output_bytes) {
    (void)platform;
    (void)output_bytes;
}

uint64_t fpgaflow_platform_microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

// Stand-in for the header of the same name that comes with Vitis HLS: the fields of ap_axiu that the shell uses.
#ifndef AP_AXI_SDATA_H_
#define AP_AXI_SDATA_H_

#include "ap_int.h"

template <int D, int U, int TI, int TD> struct ap_axiu {
    static_assert(U == 0 && TI == 0 && TD == 0, "no side channels here");
    ap_uint<D> data;
    ap_uint<(D + 7) / 8> keep, strb;
    ap_uint<1> last;
};

#endif

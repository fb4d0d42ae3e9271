#ifndef NNET_PIECEWISE_H_
#define NNET_PIECEWISE_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"
#include "nnet_common.h"
#include "nnet_types.h"

// A piecewise linear function, exact: slope * x + offset of the piece that x lies in; pieces begin at the knots.

namespace nnet {

struct piecewise_config {
    static const long long n_in = 10;
    static const long long n_pieces = 1;
    static const long long n_rows = 1; // of slopes and offsets: the elements take them in turn
    static const long long reuse_factor = 1;
    typedef float knot_t;
    typedef float slope_t;
    typedef float offset_t;
};

template <class data_T, class res_T, typename CONFIG_T>
res_T piecewise_element(data_T x, unsigned element, typename CONFIG_T::knot_t knots[],
                        typename CONFIG_T::slope_t slopes[], typename CONFIG_T::offset_t offsets[]) {
    #pragma HLS INLINE

    unsigned piece = element % CONFIG_T::n_rows * CONFIG_T::n_pieces;
Knots:
    for (unsigned k = 0; k + 1 < CONFIG_T::n_pieces; k++) {
        #pragma HLS UNROLL
        piece += x >= knots[k];
    }
    return slopes[piece] * x + offsets[piece];
}

template <class data_T, class res_T, typename CONFIG_T>
void piecewise(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in], typename CONFIG_T::knot_t knots[],
               typename CONFIG_T::slope_t slopes[CONFIG_T::n_rows * CONFIG_T::n_pieces],
               typename CONFIG_T::offset_t offsets[CONFIG_T::n_rows * CONFIG_T::n_pieces]) {
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    #pragma HLS ARRAY_PARTITION variable=knots complete
    #pragma HLS ARRAY_PARTITION variable=slopes complete
    #pragma HLS ARRAY_PARTITION variable=offsets complete

Elements:
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        res[i] = piecewise_element<data_T, res_T, CONFIG_T>(data[i], i, knots, slopes, offsets);
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void piecewise(hls::stream<data_T> &data, hls::stream<res_T> &res, typename CONFIG_T::knot_t knots[],
               typename CONFIG_T::slope_t slopes[CONFIG_T::n_rows * CONFIG_T::n_pieces],
               typename CONFIG_T::offset_t offsets[CONFIG_T::n_rows * CONFIG_T::n_pieces]) {
    static_assert(data_T::size == res_T::size, "a beat in, a beat out");
    #pragma HLS ARRAY_PARTITION variable=knots complete
    #pragma HLS ARRAY_PARTITION variable=slopes complete
    #pragma HLS ARRAY_PARTITION variable=offsets complete

Beats:
    for (unsigned beat = 0; beat < CONFIG_T::n_in / data_T::size; beat++) {
        #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
        const data_T in_data = data.read();
        res_T out_data;
        PRAGMA_DATA_PACK(out_data)

    Elements:
        for (unsigned j = 0; j < data_T::size; j++) {
            #pragma HLS UNROLL
            out_data[j] = piecewise_element<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(
                in_data[j], beat * data_T::size + j, knots, slopes, offsets);
        }
        res.write(out_data);
    }
}

} // namespace nnet

#endif

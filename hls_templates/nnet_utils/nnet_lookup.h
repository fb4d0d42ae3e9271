#ifndef NNET_LOOKUP_H_
#define NNET_LOOKUP_H_

#include "ap_fixed.h"
#include "ap_int.h"
#include "hls_stream.h"
#include "nnet_common.h"
#include "nnet_types.h"

// A table: each element, less the lowest one, is the number of a row, which takes its place.

namespace nnet {

struct lookup_config {
    static const long long n_in = 10;
    static const long long low = 0; // the input's integer that row 0 is for
    static const long long n_rows = 1;
    static const long long n_columns = 1;
    static const long long reuse_factor = 1;
    typedef float table_t;
};

template <class data_T, typename CONFIG_T> unsigned lookup_row(data_T x) {
    #pragma HLS INLINE
    ap_uint<data_T::width> bits = x(data_T::width - 1, 0);
    if (CONFIG_T::low < 0) {
        bits[data_T::width - 1] = !bits[data_T::width - 1]; // less the lowest integer of a signed type
    }
    return bits.to_uint();
}

template <class data_T, class res_T, typename CONFIG_T>
void lookup(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in * CONFIG_T::n_columns],
            typename CONFIG_T::table_t table[CONFIG_T::n_rows * CONFIG_T::n_columns]) {
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor

Elements:
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        const unsigned row = lookup_row<data_T, CONFIG_T>(data[i]);
    Columns:
        for (unsigned j = 0; j < CONFIG_T::n_columns; j++) {
            #pragma HLS UNROLL
            res[i * CONFIG_T::n_columns + j] = table[row * CONFIG_T::n_columns + j];
        }
    }
}

// One output beat of as many rows as it holds, or, for an embedding, one for each element of an input beat.
template <class data_T, class res_T, typename CONFIG_T>
void lookup(hls::stream<data_T> &data, hls::stream<res_T> &res,
            typename CONFIG_T::table_t table[CONFIG_T::n_rows * CONFIG_T::n_columns]) {
    static const unsigned rows = res_T::size / CONFIG_T::n_columns; // of one output beat
    static_assert(rows * CONFIG_T::n_columns == res_T::size && data_T::size % rows == 0, "beats of whole rows");

    data_T in_data;
Beats:
    for (unsigned beat = 0; beat < CONFIG_T::n_in / data_T::size; beat++) {
    Parts:
        for (unsigned part = 0; part < data_T::size / rows; part++) {
            #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
            if (part == 0) {
                in_data = data.read();
            }
            res_T out_data;
            PRAGMA_DATA_PACK(out_data)
        Rows:
            for (unsigned i = 0; i < rows; i++) {
                #pragma HLS UNROLL
                const unsigned row = lookup_row<typename data_T::value_type, CONFIG_T>(in_data[part * rows + i]);
            Columns:
                for (unsigned j = 0; j < CONFIG_T::n_columns; j++) {
                    #pragma HLS UNROLL
                    out_data[i * CONFIG_T::n_columns + j] = table[row * CONFIG_T::n_columns + j];
                }
            }
            res.write(out_data);
        }
    }
}

} // namespace nnet

#endif

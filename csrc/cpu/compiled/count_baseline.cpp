#include "cpu/compiled/count.h"

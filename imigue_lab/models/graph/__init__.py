"""Graph networks over skeletons: 2s-AGCN, ST-GCN(++), AAGCN, CTR-GCN, DG-STGCN."""

"""Operations on skeletons, each an idea of its own: graphs, streams, sampling, augmentation."""
